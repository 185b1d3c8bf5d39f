"""The `ray-pipeline` command: one file a group of commands. Stages, and with them Ray, are imported inside the commands."""
