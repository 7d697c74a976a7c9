"""`python -m trainer`, which torchrun starts on every rank."""

import sys

from trainer.cli import main

sys.exit(main())
