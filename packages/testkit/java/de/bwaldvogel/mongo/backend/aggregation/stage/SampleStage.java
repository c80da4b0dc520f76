package de.bwaldvogel.mongo.backend.aggregation.stage;

import de.bwaldvogel.mongo.bson.Document;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * {@code $sample}, in the place of the class of this name in mongo-java-server: that one sorts all documents by a
 * comparator that answers by chance, which takes seconds and which Java refuses now and then.
 */
public class SampleStage implements AggregationStage {
  private final int size;

  public SampleStage(Object sample) {
    size = ((Number) ((Document) sample).get("size")).intValue();
  }

  @Override
  public String name() {
    return "$sample";
  }

  @Override
  public Stream<Document> apply(Stream<Document> stream) {
    List<Document> documents = stream.collect(Collectors.toList());
    Collections.shuffle(documents);
    return documents.stream().limit(size);
  }
}
