"""What the pages say of guarantees is what the tests show."""

from __future__ import annotations

import subprocess
import sys

from tests.project.test_structure import ROOT


def test_readme_and_docs_say_what_the_claims_say() -> None:
    command = [sys.executable, "scripts/guarantees.py", "--check"]
    done = subprocess.run(command, cwd=ROOT.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
