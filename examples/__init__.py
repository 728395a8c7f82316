"""Services that find and call each other: ``make demo`` starts them all.

    gateway      -> addsvc
                 -> stringproxy -> stringsvc, three of it

Read `stringsvc` first, then `stringproxy`, `gateway` and `demo`.
"""
