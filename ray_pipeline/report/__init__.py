"""The report: one page that opens offline, and what goes into it."""
