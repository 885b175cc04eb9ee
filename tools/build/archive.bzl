"""merged_archive: one static library of what a library needs from this workspace, built because it is asked for."""

def _impl(ctx):
    archives = []
    for needed in ctx.attr.library[CcInfo].linking_context.linker_inputs.to_list():
        if needed.owner.workspace_name == "":
            archives += [lib.pic_static_library or lib.static_library for lib in needed.libraries]
    merged = ctx.actions.declare_file("lib%s.a" % ctx.label.name)
    script = ctx.actions.declare_file(ctx.label.name + ".mri")
    lines = ["create " + merged.path] + ["addlib " + a.path for a in archives] + ["save", "end", ""]
    ctx.actions.write(script, "\n".join(lines))
    ctx.actions.run_shell(
        inputs = archives + [script],
        outputs = [merged],
        command = "llvm-ar-19 -M < " + script.path,
        use_default_shell_env = True,
    )
    return [DefaultInfo(files = depset([merged]))]

merged_archive = rule(
    implementation = _impl,
    attrs = {"library": attr.label(providers = [CcInfo])},
)
