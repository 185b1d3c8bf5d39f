"""Where tables lie and how they are read, written and guarded, in a folder or on S3; thin over Lance.

<store>/<table>/<recipe>.lance    one dataset a table and recipe; other settings never overwrite
<store>/models/<model_id>/        weights (safetensors) and card.json
<store>/runs/<time>.json          what each run was told, read and wrote
<store>/leases/ logs/ report/ …   who writes now; full logs; what people look at
"""

from ray_pipeline.store.files import Folder, folder_at
from ray_pipeline.store.fragments import Written, write_fragment
from ray_pipeline.store.lease import Lease
from ray_pipeline.store.place import Store, open_store
from ray_pipeline.store.recipe import digest, name_by
from ray_pipeline.store.runs import Run, all_runs, latest_run, record_run
from ray_pipeline.store.table import Table

__all__ = [
    "Folder",
    "Lease",
    "Run",
    "Store",
    "Table",
    "Written",
    "all_runs",
    "digest",
    "folder_at",
    "latest_run",
    "name_by",
    "open_store",
    "record_run",
    "write_fragment",
]
