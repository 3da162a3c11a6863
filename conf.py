"""What ``make serve`` builds with: the settings of ``_config.yml``, and no others."""

from pathlib import Path

from jupyter_book.config import get_final_config

root = Path(__file__).parent
given = {"latex_individualpages": False, "external_toc_path": str(root / "_toc.yml")}
settings, _ = get_final_config(user_yaml=root / "_config.yml", sourcedir=root, cli_config=given)
globals().update(settings)
