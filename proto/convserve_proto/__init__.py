"""The contract between convserve's server, clients and export: messages, service paths and tensor encoding."""
