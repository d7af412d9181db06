"""Where messages live: the contract, and a folder per engine."""
