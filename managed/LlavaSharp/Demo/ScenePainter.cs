using LlavaSharp.Imaging;
using SkiaSharp;

namespace LlavaSharp.Demo;

/// <summary>Draws scenes.</summary>
public static class ScenePainter
{
    /// <summary>Draws a scene at its own size.</summary>
    /// <param name="scene">What to draw.</param>
    /// <returns>The picture.</returns>
    public static RgbImage Paint(Scene scene)
    {
        ArgumentNullException.ThrowIfNull(scene);
        using SKBitmap bitmap = new(scene.Width, scene.Height, SKColorType.Rgba8888, SKAlphaType.Opaque);
        using SKCanvas canvas = new(bitmap);
        canvas.Clear(new SKColor(scene.Background.Red, scene.Background.Green, scene.Background.Blue));
        using SKPaint paint = new() { IsAntialias = true };
        (double left, double top, double cell) = scene.Grid;
        foreach (SceneObject shape in scene.Objects)
        {
            (byte red, byte green, byte blue) = SceneColors.Rgb(shape.Color);
            paint.Color = new SKColor(red, green, blue);
            Draw(
                canvas,
                paint,
                shape.Kind,
                (float)(left + ((shape.Column + 0.5 + shape.OffsetX) * cell)),
                (float)(top + ((shape.Row + 0.5 + shape.OffsetY) * cell)),
                (float)(shape.Radius * cell));
        }

        canvas.Flush();
        ReadOnlySpan<byte> rgba = bitmap.GetPixelSpan();
        byte[] rgb = new byte[scene.Width * scene.Height * 3];
        for (int from = 0, to = 0; to < rgb.Length; from += 4, to += 3)
        {
            rgba.Slice(from, 3).CopyTo(rgb.AsSpan(to));
        }

        return new RgbImage(scene.Width, scene.Height, rgb);
    }

    private static void Draw(SKCanvas canvas, SKPaint paint, SceneShape kind, float x, float y, float radius)
    {
        switch (kind)
        {
            case SceneShape.Circle:
                canvas.DrawCircle(x, y, radius, paint);
                break;
            case SceneShape.Square:
                canvas.DrawRect(x - radius, y - radius, 2 * radius, 2 * radius, paint);
                break;
            case SceneShape.Triangle:
                Polygon(canvas, paint, (x, y - radius), (x + radius, y + radius), (x - radius, y + radius));
                break;
            default:
                float arm = radius * 0.36f;
                canvas.DrawRect(x - radius, y - arm, 2 * radius, 2 * arm, paint);
                canvas.DrawRect(x - arm, y - radius, 2 * arm, 2 * radius, paint);
                break;
        }
    }

    private static void Polygon(SKCanvas canvas, SKPaint paint, params ReadOnlySpan<(float X, float Y)> corners)
    {
        using SKPathBuilder builder = new();
        builder.MoveTo(corners[0].X, corners[0].Y);
        foreach ((float x, float y) in corners[1..])
        {
            builder.LineTo(x, y);
        }

        builder.Close();
        using SKPath path = builder.Detach();
        canvas.DrawPath(path, paint);
    }
}
