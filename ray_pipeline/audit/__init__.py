"""The audit: the reference study's experiments run again on a collection, and its numbers held against chance.

The study is "VAE-based hybrid music clustering" on 3,081 tracks of the Free Music Archive. `study` has its rows and numbers,
`settings` turns a row into sections of a config, `run` does one of them with one seed, `controls` scores what holds no
structure, `verdicts` puts both into words, `lines` makes the table. No Ray in it.
"""

from __future__ import annotations

from ray_pipeline.audit.lines import Line, lines
from ray_pipeline.audit.run import Outcome, run_row
from ray_pipeline.audit.settings import possible
from ray_pipeline.audit.study import ROWS, StudyRow

__all__ = ["ROWS", "Line", "Outcome", "StudyRow", "lines", "possible", "run_row"]
