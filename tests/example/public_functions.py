#!/usr/bin/env python3
"""Prints a C program that refers to each function and variable which the public headers declare and do not define.

It links where the library has them all. From clang's own reading of the headers, so that nothing is listed by hand.
usage: public_functions.py FOLDER-OF-SLUICE.H [COMPILER FLAGS] > all.c
"""
import json, subprocess, sys

FUNCTIONS = {"FunctionDecl", "CXXMethodDecl", "CXXConstructorDecl", "CXXDestructorDecl", "CXXConversionDecl"}
BODIES = {"CompoundStmt", "CXXTryStmt"}


def visit(node, declared, defined):
    kind, inner = node.get("kind"), node.get("inner", [])
    if kind in FUNCTIONS:
        if any(node.get(k) for k in ("isImplicit", "explicitlyDefaulted", "explicitlyDeleted", "pure")):
            return
        body = any(i.get("kind") in BODIES for i in inner)
        (defined if body else declared).add(node["mangledName"])
    elif kind == "VarDecl":
        inside = node.get("inline") or node.get("constexpr") or "init" in node
        (defined if inside else declared).add(node["mangledName"])
    elif kind in ("NamespaceDecl", "CXXRecordDecl", "FriendDecl", "LinkageSpecDecl"):
        for i in inner:  # templates are defined where they are declared
            visit(i, declared, defined)


def main():
    command = ["clang++-19", "-std=c++20", "-fsyntax-only", "-x", "c++", "-I" + sys.argv[1], *sys.argv[2:],
               "-Xclang", "-ast-dump=json", "-Xclang", "-ast-dump-filter=sluice", sys.argv[1] + "/sluice.h"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    declared, defined, decoder, at = set(), set(), json.JSONDecoder(), text.find("{")
    while at >= 0:
        node, end = decoder.raw_decode(text, at)
        if node.get("kind") == "NamespaceDecl":  # the filter also shows what lies inside of it
            visit(node, declared, defined)
        at = text.find("{", end)
    names = sorted(declared - defined)
    if len(names) < 100:
        sys.exit("public_functions.py: found only %d functions: is this clang's output?" % len(names))
    for name in names:
        print("extern char %s[];" % name)
    print("const void* const all[] = {%s};" % ", ".join(names))
    print("int main(void) { return all[0] == 0; }")
    print("%d functions" % len(names), file=sys.stderr)


main()
