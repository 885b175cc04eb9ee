"""What ONNX Runtime and onnx.checker do otherwise, decided by the ONNX specification, and why we stay as we are."""
import dataclasses

import numpy as np
import onnx
from onnx import numpy_helper


@dataclasses.dataclass
class Difference:
    kind: str  # checker, loader, refused, "fails there", differs
    nodes: list  # of the region; the last one makes the value
    values: dict  # ours by name: what it reads
    ours: dict  # what it makes
    theirs: dict
    what: str  # the message, or in what they differ
    reference: str  # whose results are the reference implementation's: ours, theirs, neither

    @property
    def op(self):
        """All of the region's, the last one first."""
        if self.kind in ("checker", "loader"):
            return self.kind
        return " of ".join(dict.fromkeys(node.op_type for node in reversed(self.nodes)))

    def __str__(self):
        return "%s: %s: %s (reference: %s)" % (self.op, self.kind, self.what, self.reference)


def reason_for(difference):
    return ""
