"""What the tests share: a faulty node's server, nodes, herds and directories of prompts."""
