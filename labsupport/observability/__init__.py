"""How you see what a system does: metrics, lag and age from outside, traces (lesson 14)."""
