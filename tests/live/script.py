"""scripts/live-check as a module."""

import importlib.machinery
import importlib.util
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
loader = importlib.machinery.SourceFileLoader("live_check", str(ROOT / "scripts/live-check"))
live = importlib.util.module_from_spec(importlib.util.spec_from_loader("live_check", loader))
sys.modules["live_check"] = live
loader.exec_module(live)
