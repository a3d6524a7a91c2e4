"""Completion of half-typed SQL, raw and dot commands: pure functions of text, cursor and catalog.

    text + cursor --statement_at--> statement --tokenize--> tokens --situate--> situation (clause, scope)
        --candidates--> what could stand there --rank--> proposals

Nothing here knows of a terminal; the shell's adapter to prompt_toolkit is `kvsh.repl.completer`.
"""

from kvsh.complete.catalog import (
    Catalog,
    ColumnInfo,
    Datum,
    EmptyCatalog,
    ForeignKeyInfo,
    Relation,
    SchemaNames,
)
from kvsh.complete.engine import CommandSpec, Completer, Proposal, Signature, signature_at
from kvsh.complete.ranking import Candidate

__all__ = [
    "Candidate",
    "Catalog",
    "ColumnInfo",
    "CommandSpec",
    "Completer",
    "Datum",
    "EmptyCatalog",
    "ForeignKeyInfo",
    "Proposal",
    "Relation",
    "SchemaNames",
    "Signature",
    "signature_at",
]
