import de.bwaldvogel.mongo.MongoDatabase;
import de.bwaldvogel.mongo.backend.CollectionOptions;
import de.bwaldvogel.mongo.backend.CursorRegistry;
import de.bwaldvogel.mongo.backend.QueryResult;
import de.bwaldvogel.mongo.backend.ValueComparator;
import de.bwaldvogel.mongo.backend.memory.MemoryCollection;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.bson.ObjectId;
import java.util.Collection;
import java.util.NavigableMap;
import java.util.TreeMap;

/**
 * A collection that answers in the order of {@code _id} by an index, as a MongoDB does, in the place of sorting all that
 * it finds.
 */
final class OrderedCollection extends MemoryCollection {
  private static final String ID = "_id";

  /** Positions by {@code _id}; null when there are some that cannot be told apart, or have no order. */
  private NavigableMap<Object, Integer> index = new TreeMap<>(ValueComparator.ascWithoutListHandling());

  OrderedCollection(MongoDatabase database, String name, CollectionOptions options, CursorRegistry cursors) {
    super(database, name, options, cursors);
  }

  @Override
  protected Integer addDocumentInternal(Document document) {
    Integer position = super.addDocumentInternal(document);
    if (index != null && !addToIndex(document, position)) index = null;
    return position;
  }

  private boolean addToIndex(Document document, Integer position) {
    if (!document.containsKey(ID)) return false;
    try {
      return index.put(document.get(ID), position) == null;
    } catch (RuntimeException unknownType) {
      return false;
    }
  }

  @Override
  protected void removeDocument(Integer position) {
    if (index != null) index.remove(getDocument(position).get(ID));
    super.removeDocument(position);
  }

  @Override
  protected QueryResult matchDocuments(
      Document query, Document order, int skip, int limit, int batchSize, Document fields) {
    if (index == null || order == null || order.size() != 1 || !order.containsKey(ID))
      return super.matchDocuments(query, order, skip, limit, batchSize, fields);
    NavigableMap<Object, Integer> range = narrowed(index, query);
    boolean ascending = ((Number) order.get(ID)).intValue() > 0;
    return matchDocumentsFromStream(
        query,
        (ascending ? range : range.descendingMap()).values().stream().map(this::getDocument),
        skip,
        limit,
        batchSize,
        null,
        fields);
  }

  /** Without what lies before or behind the ObjectIds that a query asks for; it still matches each that is left. */
  private static NavigableMap<Object, Integer> narrowed(NavigableMap<Object, Integer> map, Document query) {
    NavigableMap<Object, Integer> range = map;
    if (query.get("$and") instanceof Collection<?> terms)
      for (Object term : terms) if (term instanceof Document part) range = narrowed(range, part);
    if (!(query.get(ID) instanceof Document bounds)) return range;
    for (String operator : bounds.keySet()) {
      if (!(bounds.get(operator) instanceof ObjectId bound)) continue;
      if (operator.equals("$gt") || operator.equals("$gte")) range = range.tailMap(bound, true);
      if (operator.equals("$lt") || operator.equals("$lte")) range = range.headMap(bound, true);
    }
    return range;
  }
}
