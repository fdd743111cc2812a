"""Puts the recipes and configs of the repository into the wheel, beside the code, as mixplan/shipped."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHIPPED = ("recipes/*.yaml", "recipes/studies/*/study.yaml", "configs/**/*")
"""What travels: a study's results stay in the repository."""


class WithShipped(build_py):
    """Builds the package with what it ships; an editable installation reads the repository itself."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        here = Path(__file__).parent
        for pattern in SHIPPED:
            for file in sorted(path for path in here.glob(pattern) if path.is_file()):
                target = Path(self.build_lib) / "mixplan" / "shipped" / file.relative_to(here)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)


setup(cmdclass={"build_py": WithShipped})
