"""What every package shares: the nouns, the errors, the events, and how a text is made safe to show."""
