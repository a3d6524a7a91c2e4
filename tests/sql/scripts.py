"""Scripts run on a session as the shell runs them: statements that differ in their literals alone together."""

from __future__ import annotations

from sql import Session
from sql.parse import next_statement
from sql.parse.split import is_blank


def run_script(session: Session, text: str) -> None:
    """Run the statements of `text`; rows that they give are dropped.  Raises the first one's error."""
    start = 0
    while start < len(text):
        end = next_statement(text, start) or len(text)
        statement = text[start:end]
        start = end
        if is_blank(statement):
            continue
        session.execute(statement).close()
        session.runs.learn(statement)
        while (ran := session.runs.execute(text, start, joins=False)) is not None:
            start = ran.end
            if ran.error is not None:
                raise ran.error
