"""Entry points for `ray job submit`: one a stage."""
