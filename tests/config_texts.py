"""Parts of a steproute.toml over one server; `url` is to be filled in."""

WRITERS = """
[models.weak]
backend = "openai"
base_url = "{url}"
model = "m"
template = "none"
price = {{ input = 1, output = 2 }}
[models.strong]
backend = "openai"
base_url = "{url}"
model = "m"
template = "none"
price = {{ input = 3, output = 4 }}
"""
