"""What the service is about: nouns, rules, errors, time. Standard library only."""
