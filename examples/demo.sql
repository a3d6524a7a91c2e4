-- A small town library: tables, an index, a view, and raw keys beside them.
-- kvsh demo.db < examples/demo.sql

CREATE TABLE author (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    born INTEGER
);

CREATE TABLE book (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    author_id INTEGER NOT NULL REFERENCES author(id),
    year INTEGER CHECK (year BETWEEN 1450 AND 2100),
    pages INTEGER,
    price REAL DEFAULT 0.0
);
CREATE INDEX book_author ON book(author_id, year);

CREATE TABLE loan (
    id INTEGER PRIMARY KEY,
    book_id INTEGER NOT NULL REFERENCES book(id) ON DELETE CASCADE,
    reader TEXT NOT NULL,
    taken TEXT NOT NULL,
    returned TEXT
);
CREATE INDEX loan_book ON loan(book_id);

CREATE VIEW on_loan AS
SELECT book.title, author.name AS author, loan.reader, loan.taken
FROM loan JOIN book ON book.id = loan.book_id JOIN author ON author.id = book.author_id
WHERE loan.returned IS NULL;

BEGIN;
INSERT INTO author VALUES
    (1, 'Jane Austen', 1775), (2, 'Mary Shelley', 1797), (3, 'Charles Dickens', 1812),
    (4, 'George Eliot', 1819), (5, 'Leo Tolstoy', 1828), (6, 'Selma Lagerlöf', 1858),
    (7, '夏目 漱石', 1867), (8, 'Virginia Woolf', 1882);
INSERT INTO book (id, title, author_id, year, pages, price) VALUES
    (1, 'Sense and Sensibility', 1, 1811, 409, 8.5), (2, 'Pride and Prejudice', 1, 1813, 432, 9.0),
    (3, 'Emma', 1, 1815, 474, 9.0), (4, 'Frankenstein', 2, 1818, 280, 7.25),
    (5, 'Oliver Twist', 3, 1838, 608, 10.0), (6, 'David Copperfield', 3, 1850, 882, 12.5),
    (7, 'Bleak House', 3, 1853, 1017, 13.0), (8, 'Great Expectations', 3, 1861, 544, 9.75),
    (9, 'The Mill on the Floss', 4, 1860, 579, 10.0), (10, 'Middlemarch', 4, 1871, 880, 12.0),
    (11, 'War and Peace', 5, 1869, 1225, 18.0), (12, 'Anna Karenina', 5, 1878, 864, 14.0),
    (13, 'Gösta Berlings saga', 6, 1891, 528, 11.5), (14, 'こゝろ', 7, 1914, 378, 8.0),
    (15, 'Mrs Dalloway', 8, 1925, 296, 8.25), (16, 'To the Lighthouse', 8, 1927, 320, 8.75);
INSERT INTO loan (book_id, reader, taken, returned) VALUES
    (2, 'Ida', '2025-01-07', '2025-01-30'), (11, 'Olof', '2025-01-11', NULL),
    (4, 'Ida', '2025-02-02', '2025-02-20'), (10, 'Noor', '2025-02-14', NULL),
    (2, 'Sam', '2025-03-01', NULL), (14, 'Noor', '2025-03-05', '2025-03-29'),
    (15, 'Ida', '2025-03-12', NULL), (6, 'Sam', '2025-04-01', '2025-05-20');
COMMIT;

-- Raw keys: put, get, delete, scan; in SQL they are the table kv(key, value).
put reader:ida "Ida Holm, Dock Street 4"
put reader:noor "Noor Haddad, Hill Road 12"
put reader:olof "Olof Berg, Mill Lane 1"
put reader:sam "Sam Okoro, Market Square 9"
put opening:mon 10-18
put opening:sat 10-14
