"""cached_onednn: the oneDNN that tools/build/onednn.sh left in SLUICE_CACHE (default ~/.cache/sluice)."""

def _impl(rctx):
    cache = rctx.os.environ.get("SLUICE_CACHE", rctx.os.environ.get("HOME", "/root") + "/.cache/sluice")
    root = cache + "/onednn"
    if not rctx.path(root + "/lib/libdnnl.a").exists:
        fail("no oneDNN in %s: run tools/setup first (it builds oneDNN once, 12 minutes on 2 cores)" % root)
    rctx.symlink(root + "/lib", "lib")
    rctx.symlink(root + "/include", "include")
    rctx.symlink(Label("//third_party:onednn.BUILD"), "BUILD")

cached_onednn = repository_rule(
    implementation = _impl,
    environ = ["SLUICE_CACHE", "HOME"],
    local = True,
)
