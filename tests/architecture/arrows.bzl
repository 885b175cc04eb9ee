"""Arrows that must never exist between the rooms (see the design's table), each a test."""

def never(name, room, others, why):
    """Fails where anything that `room` needs, however indirectly, lies in one of the folders `others`.

    Args:
      name: of the test.
      room: a target.
      others: top-level folders.
      why: printed when it fails; the reason why the arrow must not exist.
    """
    native.genquery(
        name = name + "_found",
        expression = 'filter("^//(%s)[:/]", deps(%s))' % ("|".join(others), room),
        opts = ["--noimplicit_deps", "--nohost_deps"],
        scope = [room],
    )
    native.sh_test(
        name = name,
        size = "small",
        srcs = ["must_be_empty.sh"],
        args = [
            "$(location :%s_found)" % name,
            "'%s must not need %s: %s'" % (room, ", ".join(others), why),
        ],
        data = [":%s_found" % name],
    )
