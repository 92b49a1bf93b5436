"""The collection `demo`: made from own word lists, the same everywhere; with teachers of known quality."""

from cedistill.demo.cache import demo_folder, demo_run
from cedistill.demo.collection import RUNS, write_demo

__all__ = ["RUNS", "demo_folder", "demo_run", "write_demo"]
