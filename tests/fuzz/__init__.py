"""Bad input by machine: what parses bytes from outside, each as a target with seeds, mutations and one oracle."""
