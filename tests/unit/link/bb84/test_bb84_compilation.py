"""Everything that is compiled is compiled ahead, by whoever asks for it."""

import subprocess
import sys
from pathlib import Path

import keyhop.link.bb84
from keyhop.link.bb84.compilation import kernel_modules, warm_up


def test_every_module_with_kernels_is_compiled_ahead() -> None:
    package = Path(keyhop.link.bb84.__path__[0])
    decorated = [path for path in package.rglob("*.py") if "\n@compiled" in path.read_text()]
    names = {f"keyhop.link.bb84.{'.'.join(path.relative_to(package).with_suffix('').parts)}" for path in decorated}
    assert names <= set(kernel_modules())
    told: list[str] = []
    warm_up(told.append)
    assert told == sorted(kernel_modules())


def test_the_command_says_what_it_compiles() -> None:
    ran = subprocess.run([sys.executable, "-m", "keyhop.link.bb84"], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    assert "compiling sifting_kernels" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("ready after")
