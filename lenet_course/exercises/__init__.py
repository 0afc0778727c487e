"""The checks of the exercises: `exercises.check_1_1(answer)` looks at the answer to exercise 1.1.

A check says what is right, or what exactly is not right yet. It never raises: whatever a student
hands it, the answer is a sentence. It knows no answer by heart either: it runs PyTorch, or the
student's own network, and compares.
"""

from .chapter1 import check_1_1, check_1_2, check_1_3, check_1_4
from .chapter2 import check_2_1, check_2_2, check_2_3, check_2_4
from .chapter3 import check_3_1, check_3_2, check_3_3, check_3_4, check_3_5
from .chapter4 import check_4_1, check_4_2, check_4_3, check_4_4, check_4_5
from .chapter5 import check_5_1, check_5_2, check_5_3, check_5_4, check_5_5
from .chapter7 import check_7_1, check_7_2, check_7_3, check_7_4

__all__ = [
    "check_1_1", "check_1_2", "check_1_3", "check_1_4",
    "check_2_1", "check_2_2", "check_2_3", "check_2_4",
    "check_3_1", "check_3_2", "check_3_3", "check_3_4", "check_3_5",
    "check_4_1", "check_4_2", "check_4_3", "check_4_4", "check_4_5",
    "check_5_1", "check_5_2", "check_5_3", "check_5_4", "check_5_5",
    "check_7_1", "check_7_2", "check_7_3", "check_7_4",
]  # fmt: skip
