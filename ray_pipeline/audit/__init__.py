"""The audit: the reference study's experiments run again on a collection, and its numbers held against chance.

The study is "VAE-based hybrid music clustering" on 3,081 tracks of the Free Music Archive. `study` has its rows and numbers,
`settings` turns a row into sections of a config, `run` does one of them with one seed, `controls` scores what holds no
structure, `verdicts` puts both into words, `table` makes the lines, `joins` those
of the check that labels were joined to the right tracks. No Ray in it.
"""

from __future__ import annotations

from ray_pipeline.audit.joins import joins
from ray_pipeline.audit.run import FitOnce, Outcome, run_row
from ray_pipeline.audit.settings import possible
from ray_pipeline.audit.study import ROWS, StudyRow
from ray_pipeline.audit.table import Line, controls, lines

__all__ = ["ROWS", "FitOnce", "Line", "Outcome", "StudyRow", "controls", "joins", "lines", "possible", "run_row"]
