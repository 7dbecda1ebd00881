using LlavaSharp.Data;
using LlavaSharp.Imaging;
using LlavaSharp.Training;

namespace LlavaSharp.Tests.Training;

/// <summary>The packed batch against the recipe's padded one, case by case. Images here have three rows.</summary>
public sealed class BatchBuilderTests
{
    private const int X = TokenizedSample.IgnoredLabel, Image = -200;

    private static PreparedSample Sample(int[] ids, int[] labels, params float[][] images) =>
        new(0, "sample 0", new(ids, labels), [.. images.Select(pixels => new PreparedImage(pixels))]);

    private static BatchLayout Build(int maxLength, params PreparedSample[] samples) => new BatchBuilder(3, maxLength).Build(samples);

    [Fact]
    public void An_empty_batch()
    {
        var batch = Build(100);
        Assert.Empty(batch.Tokens);
        Assert.Equal([0], batch.SequenceStarts);
        Assert.Equal(0, batch.SampleCount);
    }

    [Fact]
    public void Text_alone_stays_as_it_is_and_its_first_label_does_not_count()
    {
        var batch = Build(100, Sample([1, 5, 6], [1, X, 6]));
        Assert.Equal([1, 5, 6], batch.Tokens);
        Assert.Equal([1, X, 6], batch.Labels);
        Assert.Equal([0, 1, 2], batch.Positions);
        Assert.Equal([0, 3], batch.SequenceStarts);
        Assert.Empty(batch.ImageSlots);
        Assert.Empty(batch.Pixels);
        Assert.Equal(1, batch.SupervisedTokens);
    }

    [Fact]
    public void An_image_becomes_rows_without_labels()
    {
        var batch = Build(100, Sample([1, Image, 7, 8], [X, X, 7, 8], [0.5f]));
        Assert.Equal([1, 0, 0, 0, 7, 8], batch.Tokens);
        Assert.Equal([X, X, X, X, 7, 8], batch.Labels);
        Assert.Equal([0, 1, 2, 3, 4, 5], batch.Positions);
        Assert.Equal([1, 2, 3], batch.ImageSlots);
        Assert.Equal([0.5f], batch.Pixels);
        Assert.Equal(2, batch.SupervisedTokens);
    }

    [Fact]
    public void Samples_lie_end_to_end_and_positions_start_anew()
    {
        var batch = Build(100, Sample([1, Image, 7], [X, X, 7], [0.5f]), Sample([1, 9], [X, 9]), Sample([Image, 3], [X, 3], [0.25f]));
        Assert.Equal([1, 0, 0, 0, 7, 1, 9, 0, 0, 0, 3], batch.Tokens);
        Assert.Equal([0, 1, 2, 3, 4, 0, 1, 0, 1, 2, 3], batch.Positions);
        Assert.Equal([0, 5, 7, 11], batch.SequenceStarts);
        Assert.Equal([1, 2, 3, 7, 8, 9], batch.ImageSlots);
        Assert.Equal([0.5f, 0.25f], batch.Pixels);
    }

    [Fact]
    public void The_first_cut_counts_an_image_as_one_token()
    {
        // Six tokens with the mark, cut to four; then 1 + 3 + 2 = 6 rows, cut to four again.
        var batch = Build(4, Sample([1, Image, 7, 8, 9, 10], [X, X, 7, 8, 9, 10], [0.5f]));
        Assert.Equal([1, 0, 0, 0], batch.Tokens);
        Assert.Equal(0, batch.SupervisedTokens);
    }

    [Fact]
    public void Rows_past_the_second_cut_have_no_slot()
    {
        var batch = Build(3, Sample([1, Image, 7], [X, X, 7], [0.5f]));
        Assert.Equal([1, 0, 0], batch.Tokens);
        Assert.Equal([1, 2, -1], batch.ImageSlots);
        Assert.Equal([0.5f], batch.Pixels);
    }

    [Fact]
    public void An_image_past_the_first_cut_costs_nothing()
    {
        var batch = Build(2, Sample([1, 5, Image, 7], [X, 5, X, 7], [0.5f]));
        Assert.Equal([1, 5], batch.Tokens);
        Assert.Empty(batch.ImageSlots);
        Assert.Empty(batch.Pixels);
    }

    [Fact]
    public void Padding_ids_vanish_as_under_the_recipes_mask()
    {
        var batch = new BatchBuilder(3, 100, paddingId: 0).Build([Sample([1, 0, 5, 6], [X, 0, 5, 6])]);
        Assert.Equal([1, 5, 6], batch.Tokens);
        Assert.Equal([0, 1, 2], batch.Positions);
        Assert.Equal([X, 5, 6], batch.Labels);
    }

    [Fact]
    public void Padding_ids_count_in_the_first_cut() =>
        Assert.Equal([1, 5], new BatchBuilder(3, 3, paddingId: 0).Build([Sample([1, 0, 5, 6], [X, 0, 5, 6])]).Tokens);

    [Fact]
    public void A_sample_of_padding_alone_is_dropped() =>
        Assert.Equal([0, 2], new BatchBuilder(3, 9, paddingId: 0).Build([Sample([0, 0], [X, X]), Sample([1, 2], [X, 2])]).SequenceStarts);

    [Fact]
    public void An_image_without_a_mark_is_not_used()
    {
        var batch = Build(100, Sample([1, 5], [X, 5], [0.5f]));
        Assert.Equal([1, 5], batch.Tokens);
        Assert.Empty(batch.Pixels);
    }

    [Fact]
    public void Several_images_go_to_their_marks_in_order()
    {
        var batch = Build(100, Sample([1, Image, 7, Image, 8], [X, X, 7, X, 8], [0.5f], [0.25f]), Sample([Image, 3], [X, 3], [0.125f]));
        Assert.Equal([1, 0, 0, 0, 7, 0, 0, 0, 8, 0, 0, 0, 3], batch.Tokens);
        Assert.Equal([1, 2, 3, 5, 6, 7, 9, 10, 11], batch.ImageSlots);
        Assert.Equal([0.5f, 0.25f, 0.125f], batch.Pixels);

        // The second image lies past the cut: it costs nothing, and the first is whole.
        batch = Build(5, Sample([1, Image, 7, Image, 8], [X, X, 7, X, 8], [0.5f], [0.25f]));
        Assert.Equal([1, 2, 3], batch.ImageSlots);
        Assert.Equal([0.5f], batch.Pixels);
    }

    [Fact]
    public void A_mark_without_an_image_and_two_marks_are_refused()
    {
        Assert.Equal(
            "sample 0: 1 <image> mark for 0 images",
            Assert.Throws<UserErrorException>(() => Build(100, Sample([1, Image], [X, X]))).Message);
        Assert.Equal(
            "sample 0: 2 <image> marks for 1 images",
            Assert.Throws<UserErrorException>(() => Build(100, Sample([Image, Image], [X, X], [1f]))).Message);
    }
}
