"""The explorers of the chapters: touch your own network instead of reading about it.

One module an explorer: functions that compute, a function that draws, and a thin class of controls.
What they share is in `card`.
"""
