"""The checks of the exercises: `exercises.check_1_1(answer_1_1)` looks at the answer to 1.1.

A check says what is right, or what exactly is not right yet. It never raises (for marks there is
`.assert_right()`), and it knows no answer by heart: it runs PyTorch and compares.
"""

# ruff: noqa: F401 (what is imported here is what the package offers)
from .chapter1 import check_1_1, check_1_2, check_1_3, check_1_4
from .chapter2 import check_2_1, check_2_2, check_2_3, check_2_4, check_2_5
from .chapter3 import check_3_1, check_3_2, check_3_3, check_3_4, check_3_5
from .chapter4 import check_4_1, check_4_2, check_4_3, check_4_4, check_4_5
from .chapter5 import check_5_1, check_5_2, check_5_3, check_5_4, check_5_5
from .chapter6 import check_6_1, check_6_2, check_6_3, check_6_4
from .chapter7 import check_7_1, check_7_2, check_7_3, check_7_4
from .open_runs import load_train_and_validation
