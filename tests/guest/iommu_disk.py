# SPDX-License-Identifier: BSD-3-Clause
"""blk_backend.py, but behind an IOMMU if there is one."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python-examples"))
import blk_backend  # noqa: E402
from gi.repository import Vhost  # noqa: E402

run = blk_backend.serve.run


def run_with_iommu(backend, options):
    backend.add_feature(Vhost.Feature.ACCESS_PLATFORM)
    run(backend, options)


blk_backend.serve.run = run_with_iommu
blk_backend.main()
