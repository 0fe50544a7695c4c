"""Servers to compare with, each written as a good engineer of its framework would write it."""
