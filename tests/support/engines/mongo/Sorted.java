import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.backend.Index;
import de.bwaldvogel.mongo.backend.IndexKey;
import de.bwaldvogel.mongo.backend.ValueComparator;
import de.bwaldvogel.mongo.bson.Document;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.NavigableMap;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.TreeMap;

/**
 * An index of several fields, in their order: the server itself has none but unique ones.
 *
 * It serves queries, and those whose branches are all of this kind, that say what the first three
 * fields are, and what is or between what is the next. Whatever else is asked for is compared by the
 * server with each document that is found.
 */
class Sorted<P> extends Index<P> {
    private static final Comparator<Object> VALUES = ValueComparator.asc();
    private static final Set<String> BOUNDS = Set.of("$lt", "$lte", "$gt", "$gte");
    private static final int LEAST = 3;

    /** Of a document, ends in its id. A bound is shorter, and before or after all that begin with it. */
    private record Key(List<Object> values, int edge) implements Comparable<Key> {
        Key from(int first) {
            return new Key(values.subList(first, values.size()), edge);
        }

        @Override
        public int compareTo(Key other) {
            int common = Math.min(values.size(), other.values.size());
            for (int i = 0; i < common; i++) {
                int order = VALUES.compare(values.get(i), other.values.get(i));
                if (order != 0) {
                    return order;
                }
            }
            if (values.size() == other.values.size()) {
                return Integer.compare(edge, other.edge);
            }
            return values.size() < other.values.size() ? edge : -other.edge;
        }
    }

    private record Range(Key low, Key high, int known) {}

    /** Some stretches of the index. */
    record Found<P>(List<NavigableMap<Key, P>> stretches, List<Range> ranges, List<String> fields)
        implements Iterable<P> {
        @Override
        public Iterator<P> iterator() {
            Set<P> once = new LinkedHashSet<>(); // stretches may overlap
            stretches.forEach(stretch -> once.addAll(stretch.values()));
            return once.iterator();
        }

        /** The same in the order that is asked for; null if the index does not have it. */
        Iterable<P> inOrder(Document orderBy) {
            for (int i = 1; i < ranges.size(); i++) {
                if (ranges.get(i - 1).high().compareTo(ranges.get(i).low()) >= 0) {
                    return null;
                }
            }
            int known = ranges.stream().mapToInt(Range::known).min().orElse(0);
            if (isAt(known, orderBy)) {
                return () -> merged(known);
            }
            if (isAt(LEAST - 1, orderBy)) { // one stretch after the other
                return () -> stretches.stream().flatMap(it -> it.values().stream()).iterator();
            }
            return null;
        }

        private boolean isAt(int at, Document orderBy) {
            for (Map.Entry<String, Object> field : orderBy.entrySet()) {
                boolean ascending = field.getValue() instanceof Number n && n.intValue() == 1;
                if (!ascending || at == fields.size() || !fields.get(at++).equals(field.getKey())) {
                    return false;
                }
            }
            return true;
        }

        private Iterator<P> merged(int known) {
            Comparator<Head<P>> order =
                Comparator.comparing(head -> head.entry().getKey().from(known));
            PriorityQueue<Head<P>> heads = new PriorityQueue<>(order);
            stretches.forEach(stretch -> Head.of(stretch.entrySet().iterator(), heads));
            return new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return !heads.isEmpty();
                }

                @Override
                public P next() {
                    Head<P> head = heads.remove();
                    Head.of(head.rest(), heads);
                    return head.entry().getValue();
                }
            };
        }
    }

    private record Head<P>(Map.Entry<Key, P> entry, Iterator<Map.Entry<Key, P>> rest) {
        static <P> void of(Iterator<Map.Entry<Key, P>> entries, PriorityQueue<Head<P>> heads) {
            if (entries.hasNext()) {
                heads.add(new Head<>(entries.next(), entries));
            }
        }
    }

    private final List<String> fields;
    private final NavigableMap<Key, P> entries = new TreeMap<>();

    Sorted(String name, List<IndexKey> keys) {
        super(name, keys, false);
        fields = keys.stream().map(IndexKey::getKey).toList();
    }

    private Key key(Document document) {
        List<Object> values = new ArrayList<>(fields.size() + 1);
        for (String field : fields) {
            values.add(document.get(field));
        }
        values.add(document.get("_id"));
        return new Key(values, 0);
    }

    /** Of one branch; null if it says too little. */
    private List<Range> ranges(Document query) {
        List<List<Object>> prefixes = List.of(List.of());
        int known = 0;
        Document between = null;
        for (String field : fields) {
            Object asked = query.get(field);
            Collection<?> values;
            if (!(asked instanceof Document condition)) {
                if (asked == null) {
                    break;
                }
                values = List.of(asked);
            } else if (condition.keySet().equals(Set.of("$in"))) {
                values = (Collection<?>) condition.get("$in");
            } else {
                between = BOUNDS.containsAll(condition.keySet()) ? condition : null;
                break;
            }
            List<List<Object>> longer = new ArrayList<>();
            for (List<Object> prefix : prefixes) {
                for (Object value : values) {
                    longer.add(and(prefix, value));
                }
            }
            prefixes = longer;
            known++;
        }
        boolean isEnough = known > LEAST || known == LEAST && (between != null || says(query));
        if (!isEnough) {
            return null;
        }
        List<Range> found = new ArrayList<>();
        for (List<Object> prefix : prefixes) {
            Key low = new Key(prefix, -1);
            Key high = new Key(prefix, 1);
            if (between != null) {
                for (Map.Entry<String, Object> bound : between.entrySet()) {
                    List<Object> values = and(prefix, bound.getValue());
                    switch (bound.getKey()) {
                        case "$gt" -> low = new Key(values, 1);
                        case "$gte" -> low = new Key(values, -1);
                        case "$lt" -> high = new Key(values, -1);
                        default -> high = new Key(values, 1);
                    }
                }
            }
            found.add(new Range(low, high, known));
        }
        return found;
    }

    /** Whether three fields are all that an index could know of the query. */
    private boolean says(Document query) {
        return fields.size() == LEAST || !query.containsKey("seq") && !query.containsKey("$or");
    }

    private static List<Object> and(List<Object> prefix, Object value) {
        List<Object> values = new ArrayList<>(prefix);
        values.add(value);
        return values;
    }

    private List<Range> allRanges(Document query) {
        if (query.containsKey("_id") || query.containsKey("c") && !fields.contains("c")) {
            return null;
        }
        if (query.containsKey(fields.get(0)) || !(query.get("$or") instanceof Collection<?> branches)) {
            return ranges(query);
        }
        List<Range> found = new ArrayList<>();
        for (Object branch : branches) {
            List<Range> some = allRanges((Document) branch);
            if (some == null) {
                return null;
            }
            found.addAll(some);
        }
        return found;
    }

    @Override
    public boolean canHandle(Document query) {
        return allRanges(query) != null;
    }

    @Override
    public Iterable<P> getPositions(Document query) {
        List<Range> ranges = new ArrayList<>(allRanges(query));
        ranges.removeIf(range -> range.low().compareTo(range.high()) >= 0);
        ranges.sort(Comparator.comparing(Range::low));
        List<NavigableMap<Key, P>> stretches = new ArrayList<>();
        for (Range range : ranges) {
            stretches.add(entries.subMap(range.low(), false, range.high(), false));
        }
        return new Found<>(stretches, ranges, fields);
    }

    @Override
    public P getPosition(Document document) {
        return entries.get(key(document));
    }

    @Override
    public void checkAdd(Document document, MongoCollection<P> collection) {}

    @Override
    public void add(Document document, P position, MongoCollection<P> collection) {
        entries.put(key(document), position);
    }

    @Override
    public P remove(Document document) {
        return entries.remove(key(document));
    }

    @Override
    public void checkUpdate(Document before, Document after, MongoCollection<P> collection) {}

    @Override
    public void updateInPlace(
        Document before, Document after, P position, MongoCollection<P> collection
    ) {
        entries.remove(key(before));
        entries.put(key(after), position);
    }

    @Override
    public long getCount() {
        return entries.size();
    }

    @Override
    public long getDataSize() {
        return 0;
    }

    @Override
    public void drop() {
        entries.clear();
    }
}
