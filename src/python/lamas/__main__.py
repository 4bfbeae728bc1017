"""``python -m lamas`` is ``lamas``."""

import sys

from ._command import main

sys.exit(main())
