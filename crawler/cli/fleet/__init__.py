"""What `ncrawl fleet` does: task, run, merge, status; and the process in which a task runs."""
