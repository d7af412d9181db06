import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.bson.Document;

/**
 * The index of `_id`, used for every query that names ids.
 *
 * The server itself uses it only for queries that ask for nothing besides, and scans for the rest.
 * Whatever else is asked for is still compared with each document that is found.
 */
class ById<P> extends Index<P> {
    private static final String ID = "_id";

    private final Index<P> index;

    ById(Index<P> index) {
        super(index.getName(), index.getKeys(), false);
        this.index = index;
    }

    @Override
    public boolean canHandle(Document query) {
        return index.canHandle(query)
            || query.containsKey(ID) && index.canHandle(new Document(ID, query.get(ID)));
    }

    @Override
    public Iterable<P> getPositions(Document query) {
        return index.getPositions(query); // looks at the fields of the index only
    }

    @Override
    public P getPosition(Document document) {
        return index.getPosition(document);
    }

    @Override
    public void checkAdd(Document document, MongoCollection<P> collection) {
        index.checkAdd(document, collection);
    }

    @Override
    public void add(Document document, P position, MongoCollection<P> collection) {
        index.add(document, position, collection);
    }

    @Override
    public P remove(Document document) {
        return index.remove(document);
    }

    @Override
    public void checkUpdate(Document before, Document after, MongoCollection<P> collection) {
        index.checkUpdate(before, after, collection);
    }

    @Override
    public void updateInPlace(
        Document before, Document after, P position, MongoCollection<P> collection
    ) {
        index.updateInPlace(before, after, position, collection);
    }

    @Override
    public long getCount() {
        return index.getCount();
    }

    @Override
    public long getDataSize() {
        return index.getDataSize();
    }

    @Override
    public boolean isUnique() {
        return index.isUnique();
    }

    @Override
    public void drop() {
        index.drop();
    }
}
