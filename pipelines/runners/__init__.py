"""Runner processes: each bot in its own, behind one server, under one supervisor.

`supervisor` starts the others and holds the listening sockets; `server_process` answers the carrier, and its
`fleet` knows the runners; `runner` runs one bot's pipelines. They talk in the datagrams of `messages`, on the
`link`; media sockets are handed on by `hand_over`.
"""
