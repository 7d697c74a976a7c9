"""Array types of token ids and of the places where documents begin among them."""

import numpy as np
import numpy.typing as npt

TokenIds = npt.NDArray[np.uint16]
"""Token ids of one or more documents, one after the other."""

DocumentOffsets = npt.NDArray[np.int64]
"""Document i is `tokens[offsets[i]:offsets[i + 1]]`; the last offset is the number of tokens."""
