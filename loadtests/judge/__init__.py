"""Checks: functions of what was seen and of bounds, which never look at a cluster themselves.

None passes for want of data: it is `invalid` where the run could not tell.
"""
