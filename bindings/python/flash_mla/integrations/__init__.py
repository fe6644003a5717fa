"""This library inside others; each module needs the library it is named after."""
