"""What we install from others: hashed locks, their licences, bills of materials, and known vulnerabilities."""
