import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.QueryResult;
import de.bwaldvogel.mongo.backend.memory.MemoryCollection;
import de.bwaldvogel.mongo.bson.Document;

/** A collection in memory that fills new indexes, and sorts nothing that an index has in order. */
class Collected extends MemoryCollection {
    Collected(MongoDatabase database, String name, CollectionOptions options, CursorRegistry cursors) {
        super(database, name, options, cursors);
    }

    @Override
    public synchronized void addIndex(Index<Integer> index) {
        boolean isNew = getIndexes().stream().noneMatch(it -> it.getName().equals(index.getName()));
        if (isNew && index instanceof Sorted) {
            streamAllDocumentsWithPosition()
                .forEach(each -> index.add(each.getDocument(), each.getPosition(), this));
        }
        super.addIndex(index);
    }

    @Override
    protected QueryResult matchDocuments(
        Document query,
        Iterable<Integer> positions,
        Document orderBy,
        int skip,
        int limit,
        int batchSize,
        Document fields
    ) {
        boolean isSorting = orderBy != null && positions instanceof Sorted.Found;
        Iterable<Integer> inOrder =
            isSorting ? ((Sorted.Found<Integer>) positions).inOrder(orderBy) : null;
        if (inOrder != null) {
            return super.matchDocuments(query, inOrder, null, skip, limit, batchSize, fields);
        }
        return super.matchDocuments(query, positions, orderBy, skip, limit, batchSize, fields);
    }
}
