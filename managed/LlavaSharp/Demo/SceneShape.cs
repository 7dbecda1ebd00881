namespace LlavaSharp.Demo;

/// <summary>What the demo draws.</summary>
public enum SceneShape
{
    /// <summary>A disc.</summary>
    Circle,

    /// <summary>A filled square.</summary>
    Square,

    /// <summary>A filled triangle, point up.</summary>
    Triangle,

    /// <summary>A plus sign with thick arms.</summary>
    Cross,
}
