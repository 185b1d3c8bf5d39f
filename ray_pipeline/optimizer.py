"""Adam, of torch, without torch's compiler."""

from __future__ import annotations

import inspect
from typing import Any

import torch


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, step for step; but the first call does not import `torch._dynamo`.

    torch bids its compiler keep out of an optimizer, and loads it for that. Nothing here is compiled: every worker
    that trains alone would import it for nothing. Once torch does not wrap these methods any more, they are its own.
    """

    add_param_group: Any = inspect.unwrap(torch.optim.Adam.add_param_group)
    zero_grad: Any = inspect.unwrap(torch.optim.Adam.zero_grad)
    state_dict: Any = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict: Any = inspect.unwrap(torch.optim.Adam.load_state_dict)
    step: Any = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
