"""The batch run: plan, tasks, ledger and tables."""
