"""For every pytest run in this checkout, nbval's too: no test writes what the learner has done."""

import os

os.environ["LABKIT_PROGRESS"] = "none"  # kernels and programs that tests start inherit it
