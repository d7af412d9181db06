"""What is special to one store: files, versions, plans, failures. The rules of all are in `contract/`."""
